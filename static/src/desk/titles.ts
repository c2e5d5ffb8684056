// The names of the desk's pages, apart from its other words, which come with its own chunks.
import { messages } from '@/i18n'

export const t = messages(
  {
    sessions: '直播场次',
    newSession: '新建场次',
    session: '场次',
    viewers: '观众线路',
    viewer: '为什么卡',
    products: '商品',
    newProduct: '新建商品',
    product: '商品',
    orders: '订单管理',
    accounts: '人员',
    audit: '操作记录',
    reports: '报表',
    report: '场次报表',
  },
  {
    sessions: 'Sessions',
    newSession: 'New session',
    session: 'Session',
    viewers: 'Viewers’ lines',
    viewer: 'Why is it bad?',
    products: 'Products',
    newProduct: 'New product',
    product: 'Product',
    orders: 'Orders',
    accounts: 'People',
    audit: 'Audit log',
    reports: 'Reports',
    report: 'Session report',
  },
)

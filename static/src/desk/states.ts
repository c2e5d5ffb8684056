// The words for states, apart from the desk's other words: the studio shows them too.
import { messages } from '@/i18n'

export const t = messages(
  {
    scheduled: '未开播',
    rehearsing: '彩排中',
    live: '直播中',
    interrupted: '已中断',
    ended: '已结束',
    cancelled: '已取消',
    pending: '待付款',
    paid: '待发货',
    shipped: '已发货',
    completed: '已完成',
    refunded: '已退款',
    draft: '待审核',
    checked: '已审核',
    withdrawn: '已下架',
  },
  {
    scheduled: 'Scheduled',
    rehearsing: 'Rehearsing',
    live: 'Live',
    interrupted: 'Interrupted',
    ended: 'Ended',
    cancelled: 'Cancelled',
    pending: 'Unpaid',
    paid: 'To ship',
    shipped: 'Shipped',
    completed: 'Completed',
    refunded: 'Refunded',
    draft: 'To check',
    checked: 'Checked',
    withdrawn: 'Withdrawn',
  },
)

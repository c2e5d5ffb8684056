// What the audit log calls an act, in words. An act that is not known here keeps the server's own name.
import { messages } from '@/i18n'

const zh = {
  account_add: '添加人员',
  account_change: '修改人员',
  account_password: '重置密码',
  chat_mute: '禁言',
  chat_unmute: '取消禁言',
  chat_notice: '发公告',
  chat_remove: '删除聊天',
  order_cancel: '取消订单',
  order_refund: '退款',
  order_ship: '发货',
  payment_quarantined: '付款金额不符，已隔离',
  payment_returned: '付款原路退回',
  picture_add: '添加图片',
  picture_drop: '删除图片',
  product_add: '新建商品',
  product_change: '修改商品',
  product_check: '审核商品',
  product_withdraw: '下架商品',
  session_create: '新建场次',
  session_change: '修改场次',
  session_shelf: '修改橱窗',
  session_rehearse: '开始彩排',
  session_start: '开播',
  session_end: '结束直播',
  session_cancel: '取消场次',
  'session_publish-token': '生成推流令牌',
  stock_restock: '入库',
  'stock_write-off': '报损',
  stock_stop: '停售',
  stock_resume: '恢复销售',
}

const en: Record<keyof typeof zh, string> = {
  account_add: 'Added a person',
  account_change: 'Changed a person',
  account_password: 'New password',
  chat_mute: 'Muted',
  chat_unmute: 'Unmuted',
  chat_notice: 'Notice',
  chat_remove: 'Removed a message',
  order_cancel: 'Cancelled an order',
  order_refund: 'Refunded',
  order_ship: 'Shipped',
  payment_quarantined: 'Wrong amount, payment set aside',
  payment_returned: 'Payment sent back',
  picture_add: 'Added a picture',
  picture_drop: 'Removed a picture',
  product_add: 'Added a product',
  product_change: 'Changed a product',
  product_check: 'Checked a product',
  product_withdraw: 'Withdrew a product',
  session_create: 'Created a session',
  session_change: 'Changed a session',
  session_shelf: 'Changed a shelf',
  session_rehearse: 'Started a rehearsal',
  session_start: 'Went live',
  session_end: 'Ended the show',
  session_cancel: 'Cancelled a session',
  'session_publish-token': 'Made a publish token',
  stock_restock: 'Restocked',
  'stock_write-off': 'Wrote off',
  stock_stop: 'Stopped the sale',
  stock_resume: 'Resumed the sale',
}

const t = messages(zh, en)

export function actionName(action: string): string {
  const key = action.replace('.', '_')
  return key in zh ? t(key as keyof typeof zh) : action
}

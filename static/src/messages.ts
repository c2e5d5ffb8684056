import { messages } from '@/i18n'

export const t = messages(
  {
    brand: '多多品',
    offline: '没有网络。已经看到的内容还在，联网后会自动继续。',
    signIn: '登录',
    me: '我的',
    orders: '订单',
    order: '订单详情',
    room: '直播间',
    lost: '没有这个页面',
    lostText: '地址可能写错了，或者这场直播已经撤下。',
    forbidden: '您的账号不能看这一页',
    forbiddenText: '如果需要，请联系管理员开通；也可以换一个账号登录。',
    toHome: '回首页',
    otherAccount: '换账号登录',
  },
  {
    brand: 'Duoduopin',
    offline: 'No network. What you see stays; it goes on by itself once you are online.',
    signIn: 'Sign in',
    me: 'Me',
    orders: 'Orders',
    order: 'Order',
    room: 'Live room',
    lost: 'No such page',
    lostText: 'The address may be mistyped, or the session was taken down.',
    forbidden: 'Your account may not see this page',
    forbiddenText: 'If you need it, ask the administrator; or sign in with another account.',
    toHome: 'To the home page',
    otherAccount: 'Use another account',
  },
)

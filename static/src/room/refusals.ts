// Why the room refused what was said, and what to do, in the reader's words. They come with the first refusal.
import { locale, messages } from '@/i18n'
import type { Refusal } from '@/api/types'

const t = messages(
  {
    'sign-in': '请先登录，再发言。',
    empty: '先写点什么，再发送。',
    'too-long': '消息太长了，请缩到 200 字以内。',
    'too-fast': '说得太快了，请歇一秒再发。',
    muted: '您暂时不能发言。可以查看原因，也可以申诉。',
    banned: '您暂时不能在这里发言。可以查看原因，也可以申诉。',
    silenced: '直播间暂停发言，恢复后再发就好。',
    'slow-mode': '直播间开了慢速模式，请等倒计时结束。',
    'followers-only': '现在只有关注主播的人能发言。关注后过几秒再发。',
    'buyers-only': '现在只有买过本场商品的人能发言。',
    'new-account': '账号太新，到时间后就能在这里发言。',
    'blocked-word': '有不能发的词（已标出）。改掉后再发送。',
    link: '这里不能发链接。去掉链接后再发送。',
    repeated: '您刚说过同样的话。换一句，或过一分钟再发。',
    'crowd-repeated': '很多人刚发了同样的话。请用自己的话说。',
    'queue-full': '等审核的消息太多，请过一分钟再发。',
    'not-open': '直播已结束，不能再发言。',
    unavailable: '消息暂时送不到，请过几秒再发。',
    review: '这里的消息先审核，通过后显示。',
    other: '这条消息没有发出，请再试一次。',
    removed: '您的一条消息被撤下',
    restored: '您的一条消息已恢复',
    mutedNow: '您被禁言',
    unmuted: '禁言已解除',
    bannedNow: '您被移出直播间',
    approved: '您的消息已通过审核',
    rejected: '您的消息没有通过审核',
    expired: '您的消息等太久，没有审核到。需要的话请再发一次',
    appeal: '您的申诉有结果了',
    because: '：{reason}',
  },
  {
    'sign-in': 'Please sign in, then chat.',
    empty: 'Write something first.',
    'too-long': 'Too long: please shorten it to 200 characters.',
    'too-fast': 'Too fast: please wait a second.',
    muted: 'You may not chat for now. You can see why, and appeal.',
    banned: 'You may not chat here for now. You can see why, and appeal.',
    silenced: 'Chat is paused in this room. Send it once it is open again.',
    'slow-mode': 'The room is in slow mode. Please wait for the countdown.',
    'followers-only': 'Only followers can chat now. Follow, then send again after a few seconds.',
    'buyers-only': 'Only buyers of this session can chat now.',
    'new-account': 'Your account is too new for this room; wait until the time given.',
    'blocked-word': "It has words that can't be posted (marked). Change them, then send.",
    link: 'Links are not allowed here. Take it out, then send.',
    repeated: 'You said the same a moment ago. Say something else, or wait a minute.',
    'crowd-repeated': 'Many people sent this text just now. Please use your own words.',
    'queue-full': 'Too many messages wait for review. Try again in a minute.',
    'not-open': 'The session is over; nobody can chat any more.',
    unavailable: "Messages can't be delivered for the moment. Try again in a few seconds.",
    review: 'Messages are reviewed here before they appear.',
    other: 'Not sent, please try again.',
    removed: 'A message of yours was taken down',
    restored: 'A message of yours was put back',
    mutedNow: 'You were muted',
    unmuted: 'You may chat again',
    bannedNow: 'You were removed from the room',
    approved: 'Your message was let through',
    rejected: 'Your message was not let through',
    expired: 'Your message waited too long for review. Please send it again if you like',
    appeal: 'Your appeal was decided',
    because: ': {reason}',
  },
)

type Words = Parameters<typeof t>[0]
const told = new Set<string>([
  'sign-in',
  'empty',
  'too-long',
  'too-fast',
  'muted',
  'banned',
  'silenced',
  'slow-mode',
  'followers-only',
  'buyers-only',
  'new-account',
  'blocked-word',
  'link',
  'repeated',
  'crowd-repeated',
  'queue-full',
  'not-open',
  'unavailable',
  'review',
])

/** A sentence on what happened and what to do; the server's own for a reason that is not known here. */
export const reasonOf = (r: Refusal): string =>
  told.has(r.reason) ? t(r.reason as Words) : locale.value === 'en' && r.remedy ? r.remedy : t('other')

/** What a moderator did, in one line with the reason. */
export function doneTo(what: string, reason?: string): string {
  const key = { muted: 'mutedNow', banned: 'bannedNow' }[what] ?? what
  return t(key as Words) + (reason ? t('because', { reason }) : '')
}

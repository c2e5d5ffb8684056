// Where an order came from, in words.
import { t } from '../messages'

export function channelName(channel: string): string {
  switch (channel) {
    case 'room':
      return t('channelRoom')
    case 'douyin':
      return t('channelDouyin')
    case 'kuaishou':
      return t('channelKuaishou')
  }
  return channel
}

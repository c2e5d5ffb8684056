// The names of the studio's pages, apart from its other words, which come with its own chunk.
import { messages } from '@/i18n'

export const t = messages({ home: '我的直播', session: '直播间后台' }, { home: 'My sessions', session: 'Studio' })

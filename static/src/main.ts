import { createApp } from 'vue'
import '@/ui/tokens.css'
import '@/ui/base.css'
import { locale } from '@/i18n'
import { applyTheme } from '@/ui/theme'
import App from './App.vue'
import { router } from './router'

applyTheme()
document.documentElement.lang = locale.value
createApp(App).use(router).mount('#app')

import { defineConfig } from '@playwright/test'

const port = 18080

// The real server on a fresh demo shop, the real Chromium of Debian with a fake camera.
export default defineConfig({
  testDir: 'e2e',
  testIgnore: ['faults*.spec.ts', 'long.spec.ts'], // e2e/faults.config.ts
  outputDir: 'test-results',
  timeout: 180_000,
  expect: { timeout: 20_000 },
  workers: 1,
  forbidOnly: true,
  retries: 1, // what passes at the second try is listed as flaky
  reporter: [['list']],
  webServer: {
    command: './e2e/serve.sh',
    url: `http://localhost:${port}/readyz`,
    timeout: 180_000,
    gracefulShutdown: { signal: 'SIGTERM', timeout: 20_000 },
    env: { PORT: String(port), DUODUOPIN_DEMO_PASSWORD: 'e2e-password' },
  },
  use: {
    baseURL: `http://localhost:${port}`,
    locale: 'zh-CN',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
        '--autoplay-policy=no-user-gesture-required',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
      ],
    },
  },
})

import AxeBuilder from '@axe-core/playwright'
import { type Browser, type BrowserContext, expect, type Page } from '@playwright/test'

export const sizes = { phone: { width: 390, height: 844 }, desk: { width: 1440, height: 900 } }

/** A person's browser of a size, signed in through the page like a person. */
export async function arrive(browser: Browser, size: keyof typeof sizes, name?: string, baseURL?: string): Promise<Page> {
  const context: BrowserContext = await browser.newContext({
    viewport: sizes[size],
    locale: 'zh-CN',
    timezoneId: 'Asia/Shanghai',
    ...(baseURL ? { baseURL } : {}),
    permissions: ['camera', 'microphone'],
    hasTouch: size === 'phone',
    isMobile: size === 'phone',
  })
  const page = await context.newPage()
  if (name) await signIn(page, name)
  return page
}

export async function signIn(page: Page, name: string): Promise<void> {
  await page.goto('/login')
  await page.locator('input[name=name]').fill(name)
  await page.locator('input[name=password]').fill('e2e-password')
  await page.locator('button[type=submit]').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/login'))
}

/** Keeps a screenshot and checks the page with axe; what axe finds at serious or worse fails. */
export async function look(page: Page, name: string): Promise<void> {
  // What is still fading in or out has colours of its own.
  await page.evaluate(() => {
    const ending = document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Infinity)
    const over = Promise.all(ending.map((a) => a.finished.catch(() => null)))
    return Promise.race([over, new Promise((resolve) => setTimeout(resolve, 2000))]).then(() => null)
  })
  await page.screenshot({ path: `../test-output/screenshots/${name}.png` })
  const found = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze()
  const lines = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(' | ')}`)
  expect(lines, `axe on ${name}`).toEqual([])
}

/** What the video shows: how far it is, its size and how much its pixels differ from each other. */
export function picture(page: Page, testId: string): Promise<{ time: number; width: number; spread: number }> {
  return page.getByTestId(testId).evaluate((el) => {
    const video = (el instanceof HTMLVideoElement ? el : el.querySelector('video'))!
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = 64
    const g = canvas.getContext('2d')!
    g.drawImage(video, 0, 0, 64, 64)
    const px = g.getImageData(0, 0, 64, 64).data
    let low = 255
    let high = 0
    for (let i = 0; i < px.length; i += 4) {
      const luma = (px[i]! + px[i + 1]! + px[i + 2]!) / 3
      low = Math.min(low, luma)
      high = Math.max(high, luma)
    }
    return { time: video.currentTime, width: video.videoWidth, spread: high - low }
  })
}

/** The video advances and is not black. */
export async function expectMovingPicture(page: Page, testId: string): Promise<void> {
  await expect.poll(async () => (await picture(page, testId)).width, { timeout: 30_000 }).toBeGreaterThan(0)
  await expect.poll(async () => (await picture(page, testId)).spread, { timeout: 20_000 }).toBeGreaterThan(40)
  const before = (await picture(page, testId)).time
  await expect.poll(async () => (await picture(page, testId)).time, { timeout: 20_000 }).toBeGreaterThan(before + 1)
}

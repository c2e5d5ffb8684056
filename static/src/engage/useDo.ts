// One act at a time of a card in the room; what went wrong stays beside it until the next try.
import { ref } from 'vue'
import { told } from './told'

export function useDo() {
  const busy = ref(false)
  const problem = ref('')
  async function run(act: () => Promise<unknown>): Promise<boolean> {
    if (busy.value) return false
    busy.value = true
    problem.value = ''
    try {
      await act()
      return true
    } catch (e) {
      problem.value = told(e)
      return false
    } finally {
      busy.value = false
    }
  }
  return { busy, problem, run }
}

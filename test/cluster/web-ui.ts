/** Where a Mesos leads whoever clicks on its only framework. */
export async function webUiOf(master: string): Promise<string | undefined> {
  const { frameworks } = (await (await fetch(`${master}/state`)).json()) as { frameworks: { webui_url?: string }[] };
  return frameworks[0]?.webui_url;
}

// What appears or goes while somebody presses a button can move the button away from under the pointer, and then there is
// no click. So it waits for the end of the press.

let isPressed = false;
const waiting: (() => void)[] = [];

window.addEventListener("pointerdown", () => (isPressed = true), true);
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, release, true);

function release(): void {
  isPressed = false;
  setTimeout(() => waiting.splice(0).forEach((run) => run())); // the click comes first
}

export function afterPress(run: () => void): void {
  if (isPressed) waiting.push(run);
  else run();
}

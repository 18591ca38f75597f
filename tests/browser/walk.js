// Walks at random through the page by its own links, buttons and keys, and notes what it has made where.
// Only rows with the mark of this tab are changed, so that two tabs know what is to be there at the end.
(() => {
  const CALLS = new Set();
  const PATIENCE = 60_000; // milliseconds
  const original = window.fetch;
  // Counts the calls that are under way. It changes nothing about them.
  window.fetch = (...given) => {
    const call = original(...given);
    CALLS.add(call);
    const done = () => setTimeout(() => {
      CALLS.delete(call);
      wake();
    });
    call.then(done, done);
    return call;
  };

  // Nobody looks at the pixels, and to paint them takes a sixth of the time. Dialogs are above the document.
  const unseen = new CSSStyleSheet();
  unseen.replaceSync("html, dialog, dialog::backdrop { clip-path: inset(50%) }");
  document.adoptedStyleSheets.push(unseen);

  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
  const here = () => location.pathname.split("/")[2];
  const sheet = () => all("dialog[open]").pop();
  const other = (slug, slugs) => slugs.find((each) => each !== slug);

  let wake = () => undefined;
  new MutationObserver(() => wake()).observe(document, { subtree: true, childList: true, attributes: true });

  /** Wait until the page has changed or a call has ended. What else there is to wait for is looked at now and then. */
  const change = () => new Promise((resolve) => {
    const late = setTimeout(resolve, 50);
    wake = () => {
      wake = () => undefined;
      clearTimeout(late);
      setTimeout(resolve); // after all that the page does at once
    };
  });

  /** Wait until it is so. */
  async function until(condition, what) {
    const last = performance.now() + PATIENCE;
    while (!condition()) {
      if (performance.now() > last) throw new Error(`not so after ${PATIENCE / 1000} s: ${what} at ${location.href}`);
      await change();
    }
  }

  async function settle() {
    await until(() => CALLS.size === 0 && find("#content") && !find('[aria-busy="true"]'), "the page is still");
    await pause(0);
    await until(() => CALLS.size === 0, "no call is under way");
  }

  /** Go through the history. The browser does it late, so another step would come before it. */
  async function go(by) {
    const gone = new Promise((resolve) => addEventListener("popstate", resolve, { once: true }));
    history.go(by);
    await gone;
    await pause(0);
  }

  function random(seed) { // mulberry32, public domain
    let state = seed;
    return (most) => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * most);
    };
  }

  function write(input, text) {
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** The rows of this tab. Those that a list still shows, though they have another title or are gone, are left out. */
  const own = (made) => all("tbody a.row-link").filter((link) => made[here()].has(link.textContent.trim()));

  async function save(title) {
    await until(() => find("#field-title"), "a form");
    write(find("#field-title"), title);
    find("form.sheet-form").requestSubmit();
    await until(() => !sheet() || find("form.sheet-form [role=alert]"), "it is saved");
    const wrong = find("form.sheet-form [role=alert]");
    if (wrong) throw new Error(`${title}: ${wrong.textContent}`);
  }

  const STEPS = {
    async create({ mark, made, count }) {
      const slug = here();
      const link = all("header a.strong").find((each) => each.textContent.includes("New node"));
      if (!link) return;
      link.click();
      const title = `${slug}-${mark}-${count}`;
      await save(title);
      made[slug].add(title);
    },
    async change({ mark, made, count, pick }) {
      const [slug, link] = [here(), pick(own(made))];
      if (!link) return;
      const before = link.textContent.trim();
      link.click();
      const after = `${slug}-${mark}-${count}`;
      await save(after);
      if (!made[slug].delete(before)) throw new Error(`${before} was not made in ${slug}`);
      made[slug].add(after);
    },
    async remove({ made, pick, deleted }) {
      const [slug, link] = [here(), pick(own(made))];
      if (!link) return;
      const title = link.textContent.trim();
      link.click();
      await until(() => sheet()?.querySelector(".sheet-foot .danger"), "a button to delete it");
      sheet().querySelector(".sheet-foot .danger").click();
      await until(() => !sheet() || find("form.sheet-form [role=alert]"), "it is deleted");
      if (sheet()) throw new Error(`${title}: ${find("form.sheet-form [role=alert]").textContent}`);
      made[slug].delete(title);
      deleted.set(title, slug);
    },
    /** Also from the other workspace: the row comes back to its own. */
    async undo({ made, deleted }) {
      const toast = all(".toast").find((each) => each.querySelector("button.link"));
      if (!toast) return;
      const title = toast.textContent.match(/“(.*)”/)[1];
      toast.querySelector("button.link").click();
      await until(() => all(".toast").some((each) => each.textContent.includes(`“${title}” is back`)), `${title} is back`);
      made[deleted.get(title)].add(title);
    },
    async undoElsewhere(told) {
      const before = told.deleted.size;
      await STEPS.remove(told);
      if (told.deleted.size === before) return;
      await STEPS.switch(told);
      await STEPS.undo(told);
    },
    async list({ pick }) {
      pick(all("nav.side ul a.item")).click();
    },
    async nodes() {
      find("nav.side a.item").click();
    },
    async search({ pick }) {
      const box = find('input[type="search"]');
      box?.focus();
      if (box) write(box, pick(["", here(), "a", "b-1"]));
    },
    async sort({ pick }) {
      pick(all("th button"))?.click();
    },
    async page({ pick }) {
      pick(all("nav.pages button"))?.click();
    },
    async switch({ slugs }) {
      const wanted = other(here(), slugs);
      window.dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true }));
      await until(() => find(".palette-input"), "the switcher");
      write(find(".palette-input"), wanted);
      await until(() => all('[role="option"]').length === 1, "one workspace");
      find('[role="option"]').click();
      await until(() => here() === wanted, `the address of ${wanted}`);
    },
    async back({ first }) {
      if (history.state.position > first) await go(-1);
    },
    async forward({ first }) {
      if (history.state.position === first) return;
      await go(-1);
      await go(1);
    },
    async row({ pick }) {
      pick(all("tbody a.row-link"))?.click();
      await pause(pick([0, 30]));
    },
  };
  const WEIGHTS = { create: 16, change: 12, remove: 9, undo: 6, undoElsewhere: 6, list: 6, nodes: 14, search: 3, sort: 4, page: 6, switch: 9, back: 8, forward: 4, row: 4 };
  const BAG = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array(weight).fill(name));

  /** What must hold after each step: nothing of another workspace is shown. */
  function check(slugs, name) {
    const [slug, foreign] = [here(), other(here(), slugs)];
    const shown = all("tbody a.row-link, form.sheet-form input").map((each) => each.value ?? each.textContent.trim());
    const wrong = shown.filter((each) => each.startsWith(`${foreign}-`));
    const frame = find("nav.side .switch")?.textContent.trim().toLowerCase();
    if (wrong.length > 0) throw new Error(`after ${name}, ${slug} shows ${wrong.join(", ")}`);
    if (frame && !frame.includes(slug)) throw new Error(`after ${name}, the menu of ${frame} is shown at ${slug}`);
  }

  /** A form that Back has opened is closed. Nothing is written in it. */
  async function closeForms() {
    for (let tries = 0; sheet() && tries < 5; tries += 1) {
      sheet().dispatchEvent(new Event("cancel", { cancelable: true }));
      await pause(0);
    }
    await until(() => !sheet(), "no form is open");
  }

  window.walk = async ({ mark, seed, steps, slugs }) => {
    const next = random(seed);
    const told = {
      mark,
      slugs,
      made: Object.fromEntries(slugs.map((slug) => [slug, new Set()])),
      deleted: new Map(),
      first: history.state.position,
      pick: (list) => list[next(list.length)],
    };
    const done = {};
    await settle();
    for (told.count = 0; told.count < steps; told.count += 1) {
      const name = told.pick(BAG);
      try {
        if (next(2) > 0 || name !== "switch") document.activeElement?.blur(); // as a click elsewhere does
        await STEPS[name](told);
        if (next(3) > 0) await settle(); // at times the next step comes while lists are read
        check(slugs, name);
        if (sheet()) await closeForms();
        await until(() => find("nav.side .switch"), "a workspace");
      } catch (error) {
        throw new Error(`step ${told.count} of tab ${mark}, ${name}: ${error.message}`);
      }
      done[name] = (done[name] ?? 0) + 1;
    }
    await settle();
    return { made: slugs.map((slug) => [...told.made[slug]]), done };
  };
})();

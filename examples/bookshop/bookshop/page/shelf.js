// The shelf: each book is a card with its stock, and a button that sells a copy. The page mounts it in the place of the list.

const FIELDS = "id,title,price_cents,stock";

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export default class BookShelf extends HTMLElement {
  page; // given by the page before the element is connected
  shown = 24; // books

  connectedCallback() {
    const style = make("link", { rel: "stylesheet", href: new URL("./shelf.css", import.meta.url) });
    this.cards = make("ul", { className: "shelf" });
    this.more = make("button", { type: "button", hidden: true, onclick: () => this.showMore() }, "Show more books");
    this.replaceChildren(style, this.cards, this.more);
    this.addEventListener("rows-changed", () => this.load());
    return this.load();
  }

  async load() {
    const query = { limit: this.shown, _fields: FIELDS };
    const { data } = await this.page.call("GET", "/books", { query });
    this.cards.replaceChildren(...data.items.map((book) => this.card(book)));
    this.more.hidden = data.next === null;
    if (data.items.length === 0) this.cards.append(make("li", {}, "No books yet. Add the first one."));
  }

  showMore() {
    if (this.shown === 500) return this.page.go("?view=list"); // no answer has more, and the list has pages
    this.shown = Math.min(this.shown * 2, 500);
    return this.load();
  }

  card(book) {
    const title = make("button", { type: "button", className: "link", onclick: () => this.page.open(book.id) }, book.title);
    const price = (book.price_cents / 100).toLocaleString(this.page.locale, { minimumFractionDigits: 2 });
    const stock = make("p", { className: book.stock > 0 ? "faint" : "wrong" }, book.stock > 0 ? `${book.stock} in stock` : "Sold out");
    const card = make("li", { className: "book" }, make("h2", {}, title), make("p", {}, price), stock);
    if (this.page.permissions.includes("sales.record")) card.append(this.sellButton(book));
    return card;
  }

  sellButton(book) {
    const sell = make("button", { type: "button", disabled: book.stock === 0 }, "Sell one");
    sell.setAttribute("aria-label", `Sell one copy of ${book.title}`);
    sell.onclick = () => this.sell(book, sell);
    return sell;
  }

  async sell(book, button) {
    const place = [...this.cards.children].indexOf(button.parentElement);
    button.disabled = true; // one click is one sale
    try {
      await this.page.call("POST", "/sales", { body: { book_id: book.id, copies: 1 } });
      this.page.say(`One copy of “${book.title}” is sold.`);
    } catch (error) {
      this.page.say(error);
    }
    await this.load();
    // The card is a new one: the focus goes on where it was.
    this.cards.children[place]?.querySelector("button:enabled:last-of-type, h2 button")?.focus();
  }
}

customElements.define("book-shelf", BookShelf);

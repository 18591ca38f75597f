// Hides the calls that do not contain what is typed. Without this script the page shows all calls.
const field = document.getElementById("filter");
const calls = [...document.querySelectorAll("article")];
const links = new Map([...document.querySelectorAll("nav li")].map((item) => [item.firstElementChild.hash.slice(1), item]));

function filter() {
  const wanted = field.value.trim().toLowerCase();
  let shown = 0;
  for (const call of calls) {
    const matches = call.textContent.toLowerCase().includes(wanted);
    call.hidden = !matches;
    links.get(call.id).hidden = !matches;
    shown += matches ? 1 : 0;
  }
  document.getElementById("count").textContent = wanted ? `${shown} of ${calls.length} calls` : "";
}

document.getElementById("filtering").hidden = false;
field.addEventListener("input", filter);

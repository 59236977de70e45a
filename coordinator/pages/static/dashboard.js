/** Keeps the live part of a page fresh: the server says that something changed, the page fetches that part again. */
const live = document.querySelector("[data-live]");

if (live) {
  let shown = "";
  const events = new EventSource("/dashboard/events");
  events.onmessage = async ({ data }) => {
    if (shown && data !== shown) {
      const answer = await fetch(live.dataset.live);
      if (answer.status === 401) location.href = "/";
      if (answer.ok) live.innerHTML = await answer.text(); // rendered and escaped by the server
    }
    shown = data;
  };
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

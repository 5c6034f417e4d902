// Goes on once every frame has loaded, and after three seconds in any case. Without scripts the page does so by itself.
const next = document.getElementById("logged-out-continue");
if (next) {
  const go = () => location.replace(next.href);
  addEventListener("load", go, { once: true });
  setTimeout(go, 3000);
}

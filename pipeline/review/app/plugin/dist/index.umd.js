// Loaded by the App at page load. It fetches the parts beside it as ES modules: no build, no npm.
// What fails here is said in the page; saves are then refused by the server (no label header).
(function () {
  const here = document.currentScript && document.currentScript.src;
  const say = (error) => {
    console.error("glipforge review:", error);
    const bar = document.createElement("div");
    bar.id = "glipforge-failure";
    bar.textContent =
      "The review plugin cannot work with this version of FiftyOne, so boxes cannot be changed " +
      "in this page: " + (error && error.message ? error.message : error);
    bar.style.cssText =
      "position:fixed;left:0;right:0;bottom:0;z-index:99999;padding:8px 16px;" +
      "background:#b3261e;color:#fff;font:14px sans-serif";
    document.body.appendChild(bar);
  };
  if (!here) return say(new Error("the plugin's own address is not known"));
  try {
    // At once, not in a promise: FiftyOne reads what it writes beside a label as it starts.
    const request = new XMLHttpRequest();
    request.open("GET", "/glipforge/settings", false);
    request.send();
    const settings = JSON.parse(request.responseText);
    for (const id of settings.datasets) {
      const key = `shownLabelAttributes-${id}`;
      if (!localStorage.getItem(key))
        localStorage.setItem(key, JSON.stringify({ boxes: ["label", "review"] }));
    }
    // FiftyOne's advertisement opens behind the image, takes the focus back from every click until
    // it is dismissed, and so ends the marking of words: it counts as seen.
    localStorage.setItem("fiftyone-enterprise-tooltip-seen", "true");
    import(new URL("page/main.js", here).href).then((page) => page.start(settings)).catch(say);
  } catch (error) {
    say(error);
  }
})();

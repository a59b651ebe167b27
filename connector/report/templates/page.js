"use strict";
// Draws the charts. Colours are CSS variables, so that light, dark and print change them without drawing anew.
(function () {
  const root = document.documentElement;
  const specifications = JSON.parse(document.getElementById("specifications").textContent);
  const own = (name) => "var(--" + name + ")";
  const font = getComputedStyle(document.body).fontFamily;
  const axis = {
    domainColor: own("line"), gridColor: own("line"), tickColor: own("line"), labelColor: own("muted"), titleColor: own("muted"),
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", gridOpacity: 0.7, labelPadding: 6, titlePadding: 8,
  };
  const config = {
    background: "transparent", font: font, view: { stroke: null }, axis: axis,
    legend: { labelColor: own("ink"), labelFontSize: 12, symbolSize: 90, symbolStrokeWidth: 0, offset: 4 },
    title: { color: own("ink"), fontSize: 13, fontWeight: 600, offset: 6 },
    mark: { color: own("accent"), tooltip: null }, rule: { color: own("accent") },
    range: { category: [own("accent"), own("faint"), own("pending")], ordinal: [own("accent"), own("muted"), own("bad")], symbol: ["circle", "diamond", "triangle-up"] },
    style: {
      "series": { strokeWidth: 2 },
      "series-area": { fillOpacity: 0.12 },
      "dot": { size: 70, opacity: 1 },
      "hollow": { size: 70, opacity: 1, strokeWidth: 1.75, fill: own("paper") },
      "gate": { size: 60, opacity: 0.75 },
      "whisker": { strokeWidth: 2.5, strokeOpacity: 0.45 },
      "share": { height: { band: 0.72 } },
      "median": { color: own("ink"), strokeWidth: 1, strokeDash: [4, 3] },
      "limit-good": { color: own("good"), strokeWidth: 1.5, strokeDash: [7, 3] },
      "limit-bad": { color: own("bad"), strokeWidth: 1.5, strokeDash: [2, 3] },
      "limit-tick": { color: own("ink"), thickness: 2, size: 20, opacity: 1 },
      "value-label": { color: own("muted"), fontSize: 12 },
    },
  };
  const options = {
    mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, config: config,
    tooltip: { disableDefaultStyle: true },
  };
  const places = Array.from(document.querySelectorAll("[data-chart]"));
  const draw = (place) =>
    vegaEmbed(place, specifications[place.dataset.chart], options).catch((error) => {
      place.textContent = "This chart could not be drawn; its numbers stand in the table.";
      console.error(place.dataset.chart, error);
    });
  Promise.all(places.map(draw)).then(() => {
    root.dataset.charts = String(places.length);
  });
})();

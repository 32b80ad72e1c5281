// From values to the `d` of an SVG path. Numbers only: no page.

/** The smallest of 1, 2, 5, 10, 20 … that is not below `most`: where a chart's scale ends. At least 1. */
export function topOf(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= most);
}

/**
 * Lines through these runs; a run of one value is a point, which a round cap draws.
 *
 * @param {Array<Array<{at: number, value: number}>>} runs
 * @param {{fromMs: number, toMs: number, top: number, width: number, height: number}} frame
 */
export function pathOf(runs, {fromMs, toMs, top, width, height}) {
  const x = (at) => round(((at - fromMs) / (toMs - fromMs)) * width);
  const y = (value) => round(height - (Math.min(value, top) / top) * height);
  return runs.map((run) => {
    const points = run.map(({at, value}) => `${x(at)} ${y(value)}`);
    return points.length === 1 ? `M${points[0]}h0` : `M${points.join("L")}`;
  }).join("");
}

const round = (number) => Math.round(number * 10) / 10;

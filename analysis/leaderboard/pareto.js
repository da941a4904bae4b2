// Which of the points are on the Pareto front: the twin of analysis/pareto.py. Lower cost and higher quality are better.
function front(points) {
  const known = points.filter(({ cost, quality }) => Number.isFinite(cost) && Number.isFinite(quality));
  known.sort((a, b) => a.cost - b.cost || b.quality - a.quality);
  let best = { quality: -Infinity };
  return known.filter((point) => {
    const equal = point.quality === best.quality && point.cost === best.cost;
    if (point.quality > best.quality) best = point;
    return point === best || equal;
  });
}

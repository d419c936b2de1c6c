// Grafana supplies `react` to plugins in every version, but `react/jsx-runtime` only in some. A bundled runtime of one React
// major version makes elements that the other one refuses. So JSX that libraries compiled for the runtime goes through
// `React.createElement` of whichever React Grafana runs.
import { createElement, Fragment } from 'react';

function jsx(type, props, key) {
  return createElement(type, key === undefined ? props : { ...props, key });
}

// Several children are an array that needs no keys: they are spread as arguments of createElement.
function jsxs(type, { children, ...props }, key) {
  return createElement(type, key === undefined ? props : { ...props, key }, ...children);
}

export { Fragment, jsx, jsxs };

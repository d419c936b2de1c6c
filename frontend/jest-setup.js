// What Grafana's components need of a browser and jsdom does not have.
import '@testing-library/jest-dom';
import { configure } from '@testing-library/react';
import { TextDecoder, TextEncoder } from 'util';

Object.assign(global, { TextDecoder, TextEncoder });

Object.defineProperty(global, 'matchMedia', {
  writable: true,
  value: (query) => ({
    matches: false,
    media: query,
    addListener() {},
    removeListener() {},
    addEventListener() {},
    removeEventListener() {},
    dispatchEvent: () => false,
  }),
});

class Observer {
  observe() {}
  unobserve() {}
  disconnect() {}
  takeRecords() {
    return [];
  }
}
Object.assign(global, { IntersectionObserver: Observer, ResizeObserver: Observer });

// Text is measured on a canvas; zero width is good enough here.
HTMLCanvasElement.prototype.getContext = () => ({ measureText: () => ({ width: 0 }) });

// Machines can be busy: what should appear appears at last, or the test fails.
configure({ asyncUtilTimeout: 20_000 });

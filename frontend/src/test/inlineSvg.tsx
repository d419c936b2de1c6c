import React from 'react';

export const cacheStore = {};

/** An icon without its picture. */
export default function InlineSvg({ title }: { src: string; title?: string }) {
  return <svg aria-label={title} />;
}

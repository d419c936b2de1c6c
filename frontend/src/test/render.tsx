import { render, screen, within } from '@testing-library/react';
import userEvent, { PointerEventsCheckLevel, UserEvent } from '@testing-library/user-event';
import React, { ReactElement, useState } from 'react';

interface Edited<T> {
  user: UserEvent;
  /** The value as the editor has changed it so far. */
  current: () => T;
}

/** Shows an editor and keeps what it changes, as Grafana does. */
export function renderEditor<T>(
  initial: T,
  editor: (value: T, onChange: (value: T) => void) => ReactElement
): Edited<T> {
  let latest = initial;
  function Host() {
    const [value, setValue] = useState(initial);
    latest = value;
    return editor(value, setValue);
  }
  render(<Host />);
  return {
    user: userEvent.setup({ delay: null, pointerEventsCheck: PointerEventsCheckLevel.Never }),
    current: () => latest,
  };
}

/** The input of a field by its accessible name. */
export function field(name: string): HTMLElement {
  return screen.getByLabelText(name, { selector: 'input, textarea' });
}

/** Opens a drop-down and chooses an option by its text, once it is there. */
export async function choose(user: UserEvent, name: string, option: string | RegExp): Promise<void> {
  await user.click(field(name));
  await user.click(await findOption(option));
}

/** Types a text that is no option and takes it. */
export async function typeValue(user: UserEvent, name: string, text: string): Promise<void> {
  // Braces and brackets mean keys to user-event, unless doubled.
  await user.type(field(name), `${text.replace(/[{[]/g, '$&$&')}{Enter}`);
}

async function findOption(text: string | RegExp): Promise<HTMLElement> {
  const menus = await screen.findAllByLabelText('Select options menu');
  return within(menus[menus.length - 1] as HTMLElement).findByText(text);
}

"""User actions with images in the page."""

from __future__ import annotations

import base64

from playwright.sync_api import Page

from tests.browser.image_files import File


def transfer(page: Page, event: str, *files: File, text: str = "", target: str = "body") -> None:
    """Drop or paste files, or a text, at an element, as the browser tells the page of it."""
    page.evaluate(
        """([event, files, text, target]) => {
            const data = new DataTransfer();
            for (const [name, type, base64] of files)
                data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
            if (text) data.setData("text/plain", text);
            const options = { bubbles: true, cancelable: true };
            document.querySelector(target).dispatchEvent(event === "paste"
                ? new ClipboardEvent(event, { ...options, clipboardData: data })
                : new DragEvent(event, { ...options, dataTransfer: data }));
        }""",
        [event, [[file.name, file.mime, base64.b64encode(file.data).decode()] for file in files], text, target],
    )


def choose(page: Page, *files: File) -> None:
    page.locator("#files").set_input_files([file.payload() for file in files])  # type: ignore[misc]

"""Start the app: `python app.py [--host HOST] [--port PORT]`."""

import argparse
import os

# Before gradio is imported: it asks its own server for news otherwise.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from demos import HIDDEN, TABS, shell
from demos.text import t

LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEYS = """
() => {
document.body.dataset.keys = "ready";
document.addEventListener("keydown", (event) => {
  if (!event.altKey || !/^(Digit[1-9]|KeyR)$/.test(event.code)) return;
  const seen = (selector) => [...document.querySelectorAll(selector)].find((found) => found.offsetParent !== null);
  const tabs = seen(event.shiftKey ? ".lessons" : "#tasks")?.querySelector("[role=tablist]");
  const wanted = event.code === "KeyR" ? seen("button.run")
    : tabs?.querySelectorAll("button[role=tab]")[Number(event.code.slice(5)) - 1];
  if (wanted) { wanted.click(); wanted.focus(); event.preventDefault(); }
});
}
"""


def build() -> gr.Blocks:
    """Return the whole interface; no model is loaded."""
    with gr.Blocks(title="The CLIP Family", fill_width=True, delete_cache=(600, 3600)) as demo:
        language = gr.State("en")
        gr.Markdown(t("heading"), elem_id="title")
        built = {}
        with gr.Tabs(elem_id="tasks") as tabs:
            for tab in TABS:
                with gr.Tab(t(tab.ID.replace("-", "_")), id=tab.ID):
                    built[tab.ID] = tab.build(language)
            for tab in HIDDEN:
                tab.build_hidden(demo, tabs)
        gr.Markdown(t("keys"), elem_id="keys")
        shell.connect(demo, tabs, language, built)
        demo.load(shell.read_language, None, language, show_progress="hidden", api_visibility="private")
    return demo.queue(max_size=32, api_open=False, default_concurrency_limit=4)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="The CLIP Family")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=None, help="default: the first free one from 7860")
    arguments = parser.parse_args()
    os.environ[shell.LOCAL] = "1" if arguments.host in LOOPBACK else "0"
    build().launch(server_name=arguments.host, server_port=arguments.port, **launch_settings())


def launch_settings() -> dict[str, object]:
    """Return what launch() needs beside the address."""
    return {
        "theme": shell.theme(),
        "css": shell.styles(),
        "js": KEYS,
        "i18n": t,
        "footer_links": [],
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": "50mb",
        "share": False,
        "state_session_capacity": 200,
    }


if __name__ == "__main__":
    main()

/** Draws the page. */

import { render } from "preact";

import { App } from "./app";
import { begin } from "./state/server";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/ask.css";

const root = document.getElementById("page");
if (root === null) throw new Error("index.html has no element `page`");
root.replaceChildren();
render(<App />, root);
void begin();

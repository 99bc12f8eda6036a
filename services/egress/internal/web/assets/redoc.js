// Redoc shows one of the two documents; it asks nobody else.
import { init } from "./redoc.standalone.js";

const feeds = new URLSearchParams(location.search).get("document") === "asyncapi";
init(new URL(feeds ? "asyncapi.yaml" : "openapi.json", document.baseURI).href, { disableTelemetry: true, hideDownloadButtons: false }, document.getElementById("redoc"));

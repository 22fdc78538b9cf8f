"use strict";

SwaggerUIBundle({ url: "/openapi.json", dom_id: "#routes", docExpansion: "list" });

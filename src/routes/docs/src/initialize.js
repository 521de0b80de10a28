// Shows the document of the service that this page comes from. Nothing is asked of other hosts:
// the validator of swagger.io is off.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: "none",
});

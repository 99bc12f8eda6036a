package httpapi

import (
	_ "embed" // the documents
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openapiYAML []byte

//go:embed asyncapi.yaml
var asyncapiYAML []byte

//go:embed schemas.yaml
var schemasYAML []byte

// document reads one and puts the shared schemas and the version in.
func document(raw []byte, version string) (map[string]any, error) {
	var doc, shared map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("reading an API document: %w", err)
	}
	if err := yaml.Unmarshal(schemasYAML, &shared); err != nil {
		return nil, fmt.Errorf("reading the API's schemas: %w", err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	for name, schema := range shared {
		schemas[name] = schema
	}
	doc["info"].(map[string]any)["version"] = version
	return doc, nil
}

// OpenAPI gives the document of the HTTP API as JSON.
func OpenAPI(version string) ([]byte, error) {
	doc, err := document(openapiYAML, version)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(doc, "", "  ")
}

// AsyncAPI gives the document of the feeds as YAML.
func AsyncAPI(version string) ([]byte, error) {
	doc, err := document(asyncapiYAML, version)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(doc)
}

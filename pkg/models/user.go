package models

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Add puts an entry into the user's catalogue, in place of one of the same name. The rest
// of the file stays as the user wrote it, comments included.
func (c *Catalogue) Add(e Entry) error {
	var entry yaml.Node
	if err := entry.Encode(e); err != nil {
		return fmt.Errorf("writing the entry of %s: %w", e.Name, err)
	}
	return c.edit(func(list *yaml.Node) {
		if i := entryNode(list, e.Name); i >= 0 {
			list.Content[i] = &entry
		} else {
			list.Content = append(list.Content, &entry)
		}
	})
}

// Forget takes an entry out of the user's catalogue; false when it is not there.
func (c *Catalogue) Forget(name string) (bool, error) {
	found := false
	err := c.edit(func(list *yaml.Node) {
		if i := entryNode(list, name); i >= 0 {
			list.Content = append(list.Content[:i], list.Content[i+1:]...)
			found = true
		}
	})
	return found, err
}

// edit changes the list of models in the user's file, and writes it only when what comes
// out is a valid catalogue.
func (c *Catalogue) edit(change func(list *yaml.Node)) error {
	path := filepath.Join(c.Dir, UserFile)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the models of this machine: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if doc.Kind == 0 {
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	change(modelList(doc.Content[0]))
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if _, err := parse(path, out.Bytes()); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("making the models folder: %w", err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// modelList returns the node of models, which is made where there is none.
func modelList(top *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value != "models" {
			continue
		}
		list := top.Content[i+1]
		if list.Kind != yaml.SequenceNode {
			*list = yaml.Node{Kind: yaml.SequenceNode} // written without a value
		}
		return list
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "models"}, list)
	return list
}

func entryNode(list *yaml.Node, name string) int {
	for i, n := range list.Content {
		var e struct {
			Name string `yaml:"name"`
		}
		if n.Decode(&e) == nil && e.Name == name {
			return i
		}
	}
	return -1
}

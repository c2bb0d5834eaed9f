"""The notebook door: magics, the explorer, charts, forms and how objects show themselves."""

"""Payment gateways, a folder each over the kit that they share; `registry` lists them, `base` says what one is."""

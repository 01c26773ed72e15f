"""Payment gateways, one file each; `registry` lists them."""

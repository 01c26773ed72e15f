"""Payment gateways: a folder for each, over a shared kit; `registry` lists them, `base` defines their interface."""

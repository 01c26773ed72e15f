"""Shopee (虾皮) by its Open Platform: open.shopee.com/documents."""

"""Lakala's open platform (拉卡拉): o.lakala.com."""

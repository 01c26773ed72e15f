"""shopee"""

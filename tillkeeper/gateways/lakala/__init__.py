"""lakala"""

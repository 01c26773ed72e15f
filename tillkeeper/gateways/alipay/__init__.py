"""alipay"""

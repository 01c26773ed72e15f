"""wechatpay"""

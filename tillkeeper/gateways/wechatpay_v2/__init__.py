"""wechatpay_v2"""

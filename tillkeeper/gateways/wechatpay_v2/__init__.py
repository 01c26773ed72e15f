"""WeChat Pay (微信支付) by its older API v2: pay.weixin.qq.com/doc/v2."""

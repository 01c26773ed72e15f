"""WeChat Pay (微信支付) by its API v3: pay.weixin.qq.com/doc/v3."""

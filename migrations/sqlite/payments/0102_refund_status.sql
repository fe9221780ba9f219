-- Refunds of all payments, by how far they are.
CREATE INDEX payment_refund_status ON payment_refund (status, position);

// Nibbles to table entries, in plain C++. See decode.inl for what the tables are.

template <typename T>
void lookup_run(const uint8_t* packed, int64_t element, int64_t count, const T* table, T* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = table[nibble_at(packed, element + i)];
}

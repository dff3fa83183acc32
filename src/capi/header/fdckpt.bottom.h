#ifdef __cplusplus
}
#endif

#endif /* FDCKPT_H */

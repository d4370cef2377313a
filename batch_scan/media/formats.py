"""Which container formats may be opened, and how far a probe may read. Imported by the decoder workers: keep it light.

Absent on purpose: everything that names other files or is a program of its own (hls, dash, concat, imf, sdp, rtp, rtsp,
avisynth, image2 with its patterns, vobsub, the webm manifest), devices and generators (lavfi, v4l2, x11grab, alsa, …),
vector and text pictures (svg, ANSI art), subtitles, and headerless formats that accept any bytes (rawvideo, data, the
pcm family).
"""

from __future__ import annotations

from typing import Final

PROBE_BYTES: Final = 16 << 20
"""How much of a file is read to find its streams; ffmpeg's own 5 MB misses late tracks of transport streams."""

ANALYZE_DURATION_US: Final = 10_000_000
"""How many microseconds of media are read to find its streams, at most; ffmpeg's own default is 5 to 7 s."""

_CONTAINERS = """
    3dostr 3g2 3gp 4xm amv apng asf asf_o avi caf dhav dv ea film_cpk filmstrip flic flv gif gxf ifv ipmovie
    ivf ivr live_flv m4a matroska mj2 mjpeg mjpeg_2000 mlv mov mp4 mpeg mpegts mpegtsraw mpegvideo mpjpeg mtv mv mvi mxf
    mxg nsv nut nuv ogg pmp pva r3d rl2 rm roq rpl ser smjpeg smk swf thp tmv ty usm vc1test vividas vivo vmd webm
    webp_anim wtv xmv yuv4mpegpipe
"""

_BARE_VIDEO = """
    apv av1 avs avs2 avs3 cavsvideo dirac dnxhd evc h261 h263 h264 hevc ingenient ipu m4v obu vc1 vvc
"""

_SOUND = """
    aa aac aax ac3 ac4 ace acm act adp ads adx aea afc aiff aix amr amrnb amrwb apac apc ape apm aptx aptx_hd argo_asf
    ast au bfstm bit boa bonk brstm codec2 daud dcstr dfpwm dsf dss dts dtshd eac3 epaf flac fsb g722 g723_1 g726 g726le
    g729 genh gsm hca hcom iamf ilbc ircam iss kvag laf lc3 loas mca mlp mmf mp3 mpc mpc8 msf mtaf musx nistsphere oma
    osq paf pp_bnk pvf qcp qoa redspark rka rsd rso sbc sds shn siff sln sol sox spdif svag svs tak truehd tta
    vag voc vpk vqf w64 wady wav wavarc wsaud wsd wsvqa wv wve xa xvag xwma
"""

_PICTURES = """
    bmp_pipe dds_pipe dpx_pipe exr_pipe gem_pipe gif_pipe hdr_pipe ico j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim
    jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe
    pictor_pipe png_pipe ppm_pipe psd_pipe qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe vbn_pipe webp_pipe
    xbm_pipe xpm_pipe xwd_pipe
"""

ALLOWED_FORMATS: Final[tuple[str, ...]] = tuple(
    sorted({name for names in (_CONTAINERS, _BARE_VIDEO, _SOUND, _PICTURES) for name in names.split()})
)
"""Demuxers that may be used, by PyAV and by the ffmpeg program; a name that a build does not know does no harm."""

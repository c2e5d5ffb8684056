"""Publishes a test picture and a tone by WHIP (RFC 9725) with GStreamer's webrtcbin, until it is killed.

An outsider's WebRTC: libnice for ICE, GStreamer for DTLS, SRTP and RTP. Arguments: the WHIP endpoint and a bearer token.
"""

import sys
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=out bundle-policy=max-bundle
videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=15/1 ! videoconvert
  ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=300 key-int-max=30 ! video/x-h264,profile=constrained-baseline
  ! rtph264pay aggregate-mode=zero-latency config-interval=-1
  ! application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000 ! out.
audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample ! opusenc ! rtpopuspay
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000 ! out.
"""


def exchange(url, token, offer):
    """Posts the offer and gives the answer's SDP."""
    headers = {"Content-Type": "application/sdp", "Authorization": "Bearer " + token}
    request = urllib.request.Request(url, offer.encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        print(response.status, response.headers["Location"], flush=True)
        return response.read()


def answered(out, url, token):
    """Sends what was gathered and applies the answer."""
    _, sdp = GstSdp.SDPMessage.new()
    GstSdp.sdp_message_parse_buffer(exchange(url, token, out.props.local_description.sdp.as_text()), sdp)
    answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
    out.emit("set-remote-description", answer, Gst.Promise.new())


def main(url, token):
    Gst.init(None)
    loop = GLib.MainLoop()
    pipeline = Gst.parse_launch(PIPELINE)
    out = pipeline.get_by_name("out")

    def offered(promise, *_):
        promise.wait()
        reply = promise.get_reply()  # owns the offer
        set_local = Gst.Promise.new()
        out.emit("set-local-description", reply.get_value("offer"), set_local)
        set_local.interrupt()

    def gathering(*_):
        if out.props.ice_gathering_state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(answered, out, url, token)

    def failed(_, message):
        print(message.parse_error(), file=sys.stderr, flush=True)
        loop.quit()

    out.connect("on-negotiation-needed", lambda _: out.emit("create-offer", None, Gst.Promise.new_with_change_func(offered)))
    out.connect("notify::ice-gathering-state", gathering)
    out.connect("notify::connection-state", lambda *_: print(out.props.connection_state.value_nick, flush=True))
    pipeline.get_bus().add_signal_watch()
    pipeline.get_bus().connect("message::error", failed)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()


main(*sys.argv[1:])

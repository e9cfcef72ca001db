from django.urls import path

from music import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("api/music/<int:music_id>/play", views.play, name="play"),
    path("api/music/<int:music_id>/cover", views.cover, name="cover"),
    path("api/music/<int:music_id>/royalty", views.royalty, name="royalty"),
    path("api/charts/<str:chart>", views.chart, name="chart"),
    path("api/reports/listening", views.listening_report, name="listening-report"),
    path("api/ai/music", views.generate_music, name="generate-music"),
]

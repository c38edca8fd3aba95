terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" { type = string }
variable "package" { type = string }
variable "layer" { type = string }

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  endpoints {
    lambda = var.endpoint
  }
}

locals {
  role = "arn:aws:iam::000000000000:role/lambda-role"
}

resource "aws_lambda_layer_version" "words" {
  layer_name               = "tf-words"
  filename                 = var.layer
  source_code_hash         = filebase64sha256(var.layer)
  compatible_runtimes      = ["python3.11", "python3.12"]
  compatible_architectures = ["x86_64"]
  description              = "words"
}

resource "aws_lambda_layer_version_permission" "words" {
  layer_name     = aws_lambda_layer_version.words.layer_name
  version_number = aws_lambda_layer_version.words.version
  principal      = "111122223333"
  action         = "lambda:GetLayerVersion"
  statement_id   = "other-account"
}

resource "aws_lambda_code_signing_config" "warn" {
  allowed_publishers {
    signing_profile_version_arns = [
      "arn:aws:signer:us-east-1:000000000000:/signing-profiles/profile/abcdefghij",
    ]
  }
  policies {
    untrusted_artifact_on_deployment = "Warn"
  }
}

resource "aws_lambda_function" "hello" {
  function_name                  = "tf-hello"
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  handler                        = "app.handler"
  runtime                        = "python3.11"
  role                           = local.role
  memory_size                    = 256
  timeout                        = 10
  publish                        = true
  layers                         = [aws_lambda_layer_version.words.arn]
  reserved_concurrent_executions = 20
  code_signing_config_arn        = aws_lambda_code_signing_config.warn.arn
  environment {
    variables = { WORD = "hello" }
  }
  ephemeral_storage {
    size = 1024
  }
  dead_letter_config {
    target_arn = "arn:aws:sqs:us-east-1:000000000000:dead"
  }
  logging_config {
    log_format            = "JSON"
    application_log_level = "DEBUG"
    system_log_level      = "INFO"
  }
  tags = { team = "a" }
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.hello.function_name
  function_version = aws_lambda_function.hello.version
  description      = "what callers get"
}

resource "aws_lambda_permission" "bucket" {
  statement_id   = "bucket"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.hello.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = "arn:aws:s3:::a-bucket"
  source_account = "000000000000"
  qualifier      = aws_lambda_alias.live.name
}

resource "aws_lambda_function_url" "live" {
  function_name      = aws_lambda_function.hello.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "AWS_IAM"
  cors {
    allow_origins = ["https://example.com"]
    allow_methods = ["GET", "POST"]
    max_age       = 300
  }
}

resource "aws_lambda_event_source_mapping" "queue" {
  event_source_arn                   = "arn:aws:sqs:us-east-1:000000000000:tf-orders"
  function_name                      = aws_lambda_alias.live.arn
  enabled                            = false
  batch_size                         = 20
  maximum_batching_window_in_seconds = 2
  function_response_types            = ["ReportBatchItemFailures"]
  filter_criteria {
    filter {
      pattern = jsonencode({ body = { kind = ["order"] } })
    }
  }
  scaling_config {
    maximum_concurrency = 5
  }
}

resource "aws_lambda_function_event_invoke_config" "live" {
  function_name                = aws_lambda_function.hello.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_event_age_in_seconds = 600
  maximum_retry_attempts       = 1
  destination_config {
    on_failure {
      destination = "arn:aws:sqs:us-east-1:000000000000:failed"
    }
  }
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  function_name                     = aws_lambda_function.hello.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = 2
}

data "aws_lambda_invocation" "hello" {
  function_name = aws_lambda_function.hello.function_name
  qualifier     = aws_lambda_alias.live.name
  input         = jsonencode({ name = "terraform" })
  depends_on    = [aws_lambda_provisioned_concurrency_config.live]
}

output "answer" {
  value = data.aws_lambda_invocation.hello.result
}
